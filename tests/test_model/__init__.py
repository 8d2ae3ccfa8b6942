"""Every way that one order can take, explored to the end."""
