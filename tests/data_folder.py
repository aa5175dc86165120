"""A pytest plugin, loaded before anything reads the settings: each test process has a data folder of its own, which is
removed at the end. Named in pyproject.toml: a conftest comes too late, as pytest-django reads the settings first.

With TEST_ON=stack the tests run on MariaDB, Redis, SQS and SMTP instead of files (tests/private_stack.py): one stack
for all processes, and for each process databases (Django's own way), a Redis database and SQS queues of its own.
"""

import os
import sys
import tempfile

from tests import private_stack

_folder = tempfile.TemporaryDirectory(prefix="stampede-test-", ignore_cleanup_errors=True)
for _name in [name for name in os.environ if name.startswith("STAMPEDE_")]:
    del os.environ[_name]  # what the developer's shell says must not decide a test
os.environ["STAMPEDE_DATA"] = _folder.name

_on = os.environ.get("TEST_ON", "default")
if _on == "stack":
    os.environ.update(private_stack.variables(process=os.environ.get("PYTEST_XDIST_WORKER", "")))
elif _on != "default":
    sys.exit(f"TEST_ON={_on} means nothing; there are TEST_ON=default and TEST_ON=stack")
