"""The contract suite lives in modules that pytest does not take for tests; their assertions are to be explained too."""

import pytest

pytest.register_assert_rewrite("tests.executor.contract", "tests.executor.conversation")
