# skops may not be installed, and what it loads is anything: the part that we use.
