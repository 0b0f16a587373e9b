from reliability.admin import dead_letters, jobs, lanes, processes, tokens

__all__ = ["dead_letters", "jobs", "lanes", "processes", "tokens"]
