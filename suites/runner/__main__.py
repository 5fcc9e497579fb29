"""`python -m sparsebench.suites.runner` is `sparsebench`."""

from .cli import main

if __name__ == "__main__":
    main()
