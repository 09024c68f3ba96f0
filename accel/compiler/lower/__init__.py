"""How each kind of step becomes commands: `table` says which file has it, `lowering` what a file must offer."""
