"""Historical reads: the past as it was, or as it could have been served."""
