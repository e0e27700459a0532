"""acumatica-worker: retrieval jobs from a queue, records and files from Acumatica ERP.

Read it in this order, each file standing only on those before it:

1. ``errors``: what can go wrong, sorted by what the caller should do; ``params``, ``job`` and ``page``: what travels;
   ``connection`` and ``settings``: what an operator may set.
2. ``erp``: the only code that knows HTTP and Acumatica: ``query`` (filters), ``wire`` (one connection), ``answers``
   (what they mean), ``budget`` (the license's minute), ``signin`` and ``sessions`` (who may talk), ``client`` (what
   is said), ``gateway`` (all of it, for one process).
3. ``paging`` and ``listing`` (a list that loses no row), ``strategies`` (ways to retrieve), ``handler`` and
   ``registry`` (which one an entity takes).
4. ``blobs`` (a directory or an object store), ``parts``, ``series`` and ``publisher`` (pages become a result),
   ``jobstore`` (what is known of each job).
5. ``kinds`` (jobs that do something else than retrieve), ``sending`` (once, whatever dies), ``actions``, ``writes``,
   ``inquiries`` and ``retrieval`` (how each becomes pages), ``work`` (which does).
6. ``runner`` (one delivery of a job), ``tasks`` (the one task), ``bootsteps`` (the life cycle inside a Celery
   worker), ``celery`` (the app), ``storage`` (the one way to open the store).
7. ``client``, ``reader`` and ``cli``: how jobs get in and results get out; ``filters`` and ``fetch``: in one line.
8. ``supervisor`` and ``embedded``, ``connect`` and ``login``, ``doctor``, ``fleet`` and ``status``, ``jobs``,
   ``operate``, ``planning``, ``metrics`` and ``flowerbed``: what else an operator runs, by the ``commands``.

This module imports nothing, so that a producer that wants only ``worker.client`` pays for nothing else.
"""
