"""One file per published layout. Each reads a local folder as its authors distribute it; nothing is downloaded."""
