"""Sends files by tuspy, each whole or in pieces, with the sum of every piece when that is asked for.
   python tuspy.py ENDPOINT CHUNK sums|plain FILE…"""
import os
import sys

from tusclient import client

endpoint, chunk, sums = sys.argv[1:4]
for path in sys.argv[4:]:
    uploader = client.TusClient(endpoint).uploader(
        path,
        chunk_size=int(chunk),
        metadata={"filename": os.path.basename(path)},
        upload_checksum=sums == "sums",
        retries=3,
        retry_delay=1,
    )
    uploader.upload()
    print("whole", uploader.url)
