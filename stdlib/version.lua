--- The version of drlua.
return "0.1.0"
