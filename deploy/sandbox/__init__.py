"""The stand-in Acumatica ERP: an independent witness that shares no code with `worker`.

Reading order. The front door: `__main__`, `options`, `site`, `app` (routes), `exchange` (a request on its way),
`signing`, `authorize`, `reading` and `writing` (what it asks for), `oauth`, `codes`, `grants`, `accounts`, `tenants`,
`cookies`, `sessions`, `license` (who may), `replies`, `pages`, `delivery` (the wire), `events` (the judge), `faults`,
`control` (what tests do to it). The data behind it: `instance`, and below it `definitions`, `forms`, `contracts`,
`schema` (the endpoints), `course`, `records`, `generate`, `samples`, `table`, `filters`, `predicates`, `projection`,
`optimizer`, `wire`; upon it `saves`, `edits`, `rules`, `uploads` (what writing does), `describing`, `swagger`,
`skeleton`.
"""
