"""A pytest plugin, loaded before anything reads the settings: each test process has a data folder of its own, which is
removed at the end. Named in pyproject.toml: a conftest comes too late, as pytest-django reads the settings first."""

import os
import tempfile

_folder = tempfile.TemporaryDirectory(prefix="stampede-test-", ignore_cleanup_errors=True)
for _name in [name for name in os.environ if name.startswith("STAMPEDE_")]:
    del os.environ[_name]  # what the developer's shell says must not decide a test
os.environ["STAMPEDE_DATA"] = _folder.name
