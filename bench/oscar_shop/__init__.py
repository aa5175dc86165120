"""django-oscar with our catalogue, for `bench.category_vs_oscar`; in a venv of its own, without anything of ours."""
