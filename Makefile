# A thin face of bootstrap.py, which explains every command: python3 bootstrap.py
# Arguments pass through: make test ARGS="-k breaker"
PYTHON ?= python3
<<<<<<< HEAD
COMMANDS := demo up services status test check fmt lock setup mutate basket-crashes order-races
=======
COMMANDS := demo up observe services status test check fmt lock setup mutate basket-crashes
>>>>>>> 7b04f64 (Watch the stack with Prometheus and Alertmanager, and let compose run what make up runs)

.PHONY: help $(COMMANDS)

help:
	@$(PYTHON) bootstrap.py

$(COMMANDS):
	@$(PYTHON) bootstrap.py $@ $(ARGS)

bench-% probe-%:
	@$(PYTHON) bootstrap.py $@ $(ARGS)
