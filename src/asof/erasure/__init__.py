"""Erasure: forget keys in every place that holds rows, and say what was done. Source: SEMANTICS section 8."""

from asof.erasure.certificate import Certificate, Erased, Rewritten
from asof.erasure.eraser import Eraser, being_erased, certificates, without_erased
from asof.erasure.verbs import DeletesOf

__all__ = [
    "Certificate",
    "DeletesOf",
    "Erased",
    "Eraser",
    "Rewritten",
    "being_erased",
    "certificates",
    "without_erased",
]
