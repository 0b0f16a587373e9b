from reliability.admin import circuits, dead_letters, errors, jobs, lanes, processes, tokens

__all__ = ["circuits", "dead_letters", "errors", "jobs", "lanes", "processes", "tokens"]
