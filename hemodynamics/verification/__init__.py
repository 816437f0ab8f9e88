"""Flow against exact solutions, laboratories and another solver; `hilum validate` runs it."""
