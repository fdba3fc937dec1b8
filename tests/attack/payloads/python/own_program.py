# Starts a program that it has written itself.
# with: EPERM
# without: done
name = tempfile.mktemp()
Path(name).write_text("#!/bin/sh\n")
os.chmod(name, 0o755)
subprocess.run([name], check=True)
