"""A run seen, checked and corrected: what `fastblur audit` and `fastblur correct` do."""
