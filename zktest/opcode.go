package zktest

import "fmt"

// Op is a request's opcode, named as in ZooKeeper's ZooDefs.OpCode.
type Op int32

// The opcodes that the server knows. OpConnect stands for the first packet of a connection, which
// has no opcode on the wire; Intercept sees it under this name.
const (
	OpCreate               Op = 1
	OpDelete               Op = 2
	OpExists               Op = 3
	OpGetData              Op = 4
	OpSetData              Op = 5
	OpGetACL               Op = 6
	OpSetACL               Op = 7
	OpGetChildren          Op = 8
	OpSync                 Op = 9
	OpPing                 Op = 11
	OpGetChildren2         Op = 12
	OpCheck                Op = 13
	OpMulti                Op = 14
	OpCreate2              Op = 15
	OpReconfig             Op = 16
	OpCheckWatches         Op = 17
	OpRemoveWatches        Op = 18
	OpCreateContainer      Op = 19
	OpDeleteContainer      Op = 20
	OpCreateTTL            Op = 21
	OpMultiRead            Op = 22
	OpAuth                 Op = 100
	OpSetWatches           Op = 101
	OpSASL                 Op = 102
	OpGetEphemerals        Op = 103
	OpGetAllChildrenNumber Op = 104
	OpSetWatches2          Op = 105
	OpAddWatch             Op = 106
	OpWhoAmI               Op = 107
	OpCloseSession         Op = -11
	OpConnect              Op = -10 // the transaction that a connect request makes is createSession, -10
	opError                Op = -1
)

var opNames = map[Op]string{
	OpConnect:              "connect",
	OpCreate:               "create",
	OpDelete:               "delete",
	OpExists:               "exists",
	OpGetData:              "getData",
	OpSetData:              "setData",
	OpGetACL:               "getACL",
	OpSetACL:               "setACL",
	OpGetChildren:          "getChildren",
	OpSync:                 "sync",
	OpPing:                 "ping",
	OpGetChildren2:         "getChildren2",
	OpCheck:                "check",
	OpMulti:                "multi",
	OpCreate2:              "create2",
	OpReconfig:             "reconfig",
	OpCheckWatches:         "checkWatches",
	OpRemoveWatches:        "removeWatches",
	OpCreateContainer:      "createContainer",
	OpDeleteContainer:      "deleteContainer",
	OpCreateTTL:            "createTTL",
	OpMultiRead:            "multiRead",
	OpAuth:                 "auth",
	OpSetWatches:           "setWatches",
	OpSASL:                 "sasl",
	OpGetEphemerals:        "getEphemerals",
	OpGetAllChildrenNumber: "getAllChildrenNumber",
	OpSetWatches2:          "setWatches2",
	OpAddWatch:             "addWatch",
	OpWhoAmI:               "whoAmI",
	OpCloseSession:         "closeSession",
}

// String is the opcode's name, or its number if it has none.
func (o Op) String() string {
	if name, ok := opNames[o]; ok {
		return name
	}
	return fmt.Sprintf("op(%d)", int32(o))
}

// The short names of the last operation in the answer to "cons".
var opShort = map[Op]string{
	OpConnect: "SESS", OpCreate: "CREA", OpCreate2: "CREA", OpCreateTTL: "CREA", OpCreateContainer: "CREA",
	OpDelete: "DELE", OpDeleteContainer: "DELE", OpExists: "EXIS", OpGetData: "GETD", OpSetData: "SETD",
	OpGetACL: "GETA", OpSetACL: "SETA", OpGetChildren: "GETC", OpGetChildren2: "GETC", OpSync: "SYNC",
	OpPing: "PING", OpMulti: "MULT", OpMultiRead: "MLTR", OpSetWatches: "SETW", OpSetWatches2: "STW2",
	OpAddWatch: "ADDW", OpCheckWatches: "CHKW", OpRemoveWatches: "REMW", OpGetEphemerals: "GETE",
	OpGetAllChildrenNumber: "GETACN", OpWhoAmI: "HOMI", OpCloseSession: "CLOS", OpReconfig: "RECO",
}

func (o Op) short() string {
	if name, ok := opShort[o]; ok {
		return name
	}
	return "NA"
}
