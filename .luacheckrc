std = "lua54"
max_line_length = 120
files["stdlib/strict.lua"] = { globals = { "_G" } }
exclude_files = { "build", "docs/meta", "tests/golden" }
