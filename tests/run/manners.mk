# make check-completions  what bash, zsh and fish offer for pyperf-run's options

.PHONY: check-completions
check: check-completions

check-completions:
	$(Q)$(PYTHON) tests/run/test_completions.py
