"""Results of a run, seen, checked and corrected."""

from fastblur.audit.report import AuditSummary, audit

__all__ = ["AuditSummary", "audit"]
