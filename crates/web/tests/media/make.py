"""Writes two small pictures and two films of one second, with a title that names their maker. Needs imageio-ffmpeg. Run in this folder."""
import subprocess

import imageio_ffmpeg

program = imageio_ffmpeg.get_ffmpeg_exe()
for name, picture in [("one", "testsrc=size=96x96:rate=8"), ("two", "smptebars=size=96x96:rate=8")]:
    source = ["-f", "lavfi", "-i", picture, "-metadata", "title=made by umbrella-12b"]
    film = ["-t", "1", "-c:v", "libx264", "-pix_fmt", "yuv420p", "-crf", "40", "-bsf:v", "filter_units=remove_types=6", "-movflags", "+faststart"]
    subprocess.run([program, "-y", "-v", "error", *source, *film, f"{name}.mp4"], check=True)
    subprocess.run([program, "-y", "-v", "error", *source, "-frames:v", "1", f"{name}.png"], check=True)
