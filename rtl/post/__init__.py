"""The post-process unit: `unit` takes commands, `walk` goes through their elements, `pipeline` makes outputs."""
