"""The ground floor: the only code that knows HTTP and Acumatica."""
