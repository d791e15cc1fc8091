# Writes the files of a page under the folder `to`. A file is the fenced block after a line <!-- file: PATH -->.
/^<!-- file: [^ ]+ -->$/ {
    path = to "/" $3
    folder = path
    sub(/\/[^\/]*$/, "", folder)
    if (system("mkdir -p '" folder "'") != 0)
        exit 1
    waiting = 1
    next
}
/^```/ {
    if (writing) {
        close(path)
        writing = 0
    } else if (waiting) {
        printf "" >path
        writing = 1
        waiting = 0
    }
    next
}
writing {
    if (major)
        gsub(/(Qt|qt|qml)6/, "&\001")
    gsub(/6\001/, major)
    print >path
}
END {
    if (writing || waiting) {
        print "the block of " path " has no " (writing ? "end" : "beginning") >"/dev/stderr"
        exit 1
    }
}
