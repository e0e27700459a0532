"""acumatica-worker: retrieval jobs from a queue, records and files from Acumatica ERP.

Read it in this order, each file standing only on those below it in the house:

1. ``job``: what travels, and ``errors``: what can go wrong, sorted by what the caller should do.
2. ``erp``: the only code that knows HTTP and Acumatica: ``query`` (filters), ``budget`` (the license's
   minute), ``signin`` and ``sessions`` (who may talk), ``client`` (what is said).
3. ``strategies`` (ways to retrieve), ``handler`` and ``registry`` (which one an entity takes).
4. ``publisher`` and ``blobs`` (pages become a result), ``jobstore`` (what is known of each job).
5. ``runner`` (one delivery of a job), ``tasks`` (the one task), ``bootsteps`` (the life cycle inside a Celery
   worker), ``celery`` (the app).
6. ``client`` and ``cli``: how jobs get in and results get out.

This module imports nothing, so that a producer that wants only ``worker.client`` pays for nothing else.
"""
