"""How long properties are searched: quickly by default, `pytest --hypothesis-profile=long` for an hour of it."""

from hypothesis import HealthCheck, settings

for name, examples in (("quick", 60), ("long", 3000)):
    settings.register_profile(
        name,
        max_examples=examples,
        deadline=None,  # an example is a store's work: files, syncs, queries
        suppress_health_check=[HealthCheck.too_slow],
    )
settings.load_profile("quick")
