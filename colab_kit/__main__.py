"""`python -m colab_kit` is `colab-kit`."""

from .cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
