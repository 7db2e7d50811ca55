"""What a person sees: tables, a run's progress, answers in words."""
