# A thin face of bootstrap.py, which explains every command: python3 bootstrap.py
# Arguments pass through: make test ARGS="-k breaker"
PYTHON ?= python3
COMMANDS := demo up observe services status backup-drill upgrade-drill test acceptance check fmt lock setup mutate pictures basket-crashes order-races chaos

.PHONY: help $(COMMANDS)

help:
	@$(PYTHON) bootstrap.py

$(COMMANDS):
	@$(PYTHON) bootstrap.py $@ $(ARGS)

bench-% probe-%:
	@$(PYTHON) bootstrap.py $@ $(ARGS)
