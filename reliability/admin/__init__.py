from reliability.admin import circuits, dead_letters, errors, jobs, lanes, processes, sagas, tokens

__all__ = ["circuits", "dead_letters", "errors", "jobs", "lanes", "processes", "sagas", "tokens"]
