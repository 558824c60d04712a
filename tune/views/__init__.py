"""What a person sees of an experiment."""
