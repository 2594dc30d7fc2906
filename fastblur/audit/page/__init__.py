"""The page of an audit: index.html, which works without a server and loads nothing but its pictures."""

from fastblur.audit.page.charts import charts
from fastblur.audit.page.write import write_page

__all__ = ["charts", "write_page"]
