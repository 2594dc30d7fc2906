"""fastblur within the jobs of other libraries."""
