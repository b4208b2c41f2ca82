"""What Google gives: the page, and a Drive that is mounted, mirrored, leased and staged.

Read its files in this order:
bridge       the one door to google.colab
health       which Drives are mounted, and whether they answer
drive        the Drive as others see it, and the folder that stands in for it
mount_plan   what mount() is asked for, sees and decides
relocate     the files that lie where Drive is to be mounted
mounting     the verb mount; which Drive this process has; uploads
reading      files read from Drive, with patience; folders made on it
slots        a file's way to Drive, read back; many small files as one pack
mirror       the shelf on Drive, copied in the background
lease        one machine at a time writes a run, and who holds it
staging      what lies on Drive is brought to the fast disk
"""
