"""One machine's worker processes: fork servers, the workers they start, and the driver's end of both."""
