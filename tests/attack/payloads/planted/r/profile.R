# R runs this where it is started in its folder, as .Renviron beside it says.
file.create("LOOT/planted-environ")
