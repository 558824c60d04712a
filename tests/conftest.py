"""Settings that every test shares."""

from hypothesis import settings

# The machine that runs the tests may be busy: how long one example takes says nothing. Failures are for everybody to
# see again, so examples are drawn the same way everywhere; `--hypothesis-profile=explore` looks further.
settings.register_profile("everywhere", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=2000)
settings.load_profile("everywhere")
