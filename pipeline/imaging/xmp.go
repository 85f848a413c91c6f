package imaging

// xmpKey is the keyword of XMP in a PNG.
const xmpKey = "XML:com.adobe.xmp"

// xmp says by IPTC's vocabulary that the picture was made by a trained model,
// or that it is a picture from elsewhere with a model's work in it.
func xmp(about About) string {
	kind := "trainedAlgorithmicMedia"
	if about.Job.Image != "" {
		kind = "compositeWithTrainedAlgorithmicMedia"
	}
	return `<?xpacket begin="` + "\ufeff" + `" id="W5M0MpCehiHzreSzNTczkc9d"?>` +
		`<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">` +
		`<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"` +
		` Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/` + kind + `"/>` +
		`</rdf:RDF></x:xmpmeta><?xpacket end="r"?>`
}
