"""Online reads: the newest values, their statuses, and receipts."""
