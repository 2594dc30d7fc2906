"""Results of a run, seen, checked and corrected."""

from fastblur.audit.report import audit
from fastblur.audit.summary import AuditSummary

__all__ = ["AuditSummary", "audit"]
