[playlist]
X-GNOME-Title=Mine
NumberOfEntries=2
File1=file:///music/%C3%A9.ogg
Title1=été
Title3=no file
File=0
File1=../second.ogg
