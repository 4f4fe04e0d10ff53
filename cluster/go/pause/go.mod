module penstock.dev/cluster/pause

go 1.21
