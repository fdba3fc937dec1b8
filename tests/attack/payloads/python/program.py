# Starts a program.
# with: EPERM
# without: done
subprocess.run(["/bin/true"], check=True)
