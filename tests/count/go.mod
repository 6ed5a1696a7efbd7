module podgate/count

go 1.24
