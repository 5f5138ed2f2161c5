"""What is wrong with a daemon or its folders, what does it mean, and what helps? Each check probes, then judges."""
