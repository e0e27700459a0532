"""The handlers that ship with acumatica-worker; each is found by its entry point, as a third party's would be."""
