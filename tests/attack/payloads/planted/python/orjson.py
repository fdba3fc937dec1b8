# Python runs this where it is started in its folder, or has that on its path.
open("LOOT/planted-orjson", "w").close()
